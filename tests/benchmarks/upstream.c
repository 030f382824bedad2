/* A provider that costs next to nothing, for benchmarks: one thread, epoll, HTTP/1.1 with keep-alive and pipelining.
 *
 *   POST /v1/chat/completions   a fixed OpenAI chat completion; with `"stream":true` in the body (one space after
 *                               the colon is fine too) 200 SSE chunks and [DONE], each event its own HTTP chunk
 *   GET  /health                {"status":"ok"}
 *
 * Bodies need a content-length or `transfer-encoding: chunked`. The port (argument 1, 0 = any free one) is printed on
 * the first line of stdout. The process ends when its stdin closes, so it cannot outlive the benchmark.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNKS = 200, MAX_HEAD = 65536, MAX_EVENTS = 512 };

struct reply {
    char *data;
    size_t size;
};

struct connection {
    int fd;
    char *in;                  /* what arrived and is not yet answered */
    size_t in_size, in_capacity;
    const struct reply **out;  /* what is queued to be written, in order */
    size_t out_count, out_capacity, out_done;
};

static struct reply completion, stream, health, not_found, bad_request;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *grow(void *memory, size_t size) {
    memory = realloc(memory, size);
    if (!memory) fail("realloc");
    return memory;
}

static void append(struct reply *reply, const char *text) {
    size_t size = strlen(text);
    reply->data = grow(reply->data, reply->size + size + 1);
    memcpy(reply->data + reply->size, text, size + 1);
    reply->size += size;
}

static void render(struct reply *reply, const char *status, const char *body) {
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\ncontent-type: application/json\r\nx-request-id: req_benchmark\r\ncontent-length: %zu\r\n\r\n",
             status, strlen(body));
    append(reply, head);
    append(reply, body);
}

static void append_event(const char *data) {
    char event[1024], chunk[1100];
    int size = snprintf(event, sizeof event, "data: %s\n\n", data);
    snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)size, event);
    append(&stream, chunk);
}

static void append_delta(const char *delta, const char *finish) {
    char data[768];
    snprintf(data, sizeof data,
             "{\"id\":\"chatcmpl-benchmark\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,"
             "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_benchmark\","
             "\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]}",
             delta, finish);
    append_event(data);
}

static void render_stream(void) {
    append(&stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_benchmark\r\n"
                    "transfer-encoding: chunked\r\n\r\n");
    append_delta("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null");
    for (int i = 1; i < CHUNKS - 1; i++) {
        char delta[64];
        snprintf(delta, sizeof delta, "{\"content\":\" word%d\"}", i);
        append_delta(delta, "null");
    }
    append_delta("{}", "\"stop\"");
    append_event("[DONE]");
    append(&stream, "0\r\n\r\n");
}

static void render_replies(void) {
    render(&completion, "200 OK",
           "{\"id\":\"chatcmpl-benchmark\",\"object\":\"chat.completion\",\"created\":1763800000,"
           "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
           "\"content\":\"Hello! How can I help you today?\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
           "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18,"
           "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"
           "{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
           "\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_benchmark\"}");
    render(&health, "200 OK", "{\"status\":\"ok\"}");
    render(&not_found, "404 Not Found", "{\"error\":{\"message\":\"no such path\",\"type\":\"invalid_request_error\"}}");
    render(&bad_request, "400 Bad Request", "{\"error\":{\"message\":\"cannot read it\",\"type\":\"invalid_request_error\"}}");
    render_stream();
}

/* The value of a header, or NULL. `head` ends with the empty line, whose NUL-terminated copy this searches. */
static const char *header(const char *head, const char *name) {
    size_t size = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, name, size) && line[size] == ':') return line + size + 1 + strspn(line + size + 1, " ");
    }
    return NULL;
}

/* The size of the chunked body at `body` with its framing, 0 while it is incomplete; *joined is then its content's. */
static size_t join_chunks(char *body, size_t available, size_t *joined) {
    size_t at = 0, size;
    do { /* first see whether it is all there: what is incomplete has to stay as it is */
        const char *line_end = memmem(body + at, available - at, "\r\n", 2);
        if (!line_end) return 0;
        size = strtoul(body + at, NULL, 16);
        at = (size_t)(line_end - body) + 2 + size + 2;
        if (at > available) return 0;
    } while (size);
    *joined = 0;
    for (size_t from = 0; from < at;) {
        char *data = (char *)memmem(body + from, at - from, "\r\n", 2) + 2;
        size = strtoul(body + from, NULL, 16);
        from = (size_t)(data - body) + size + 2;
        memmove(body + *joined, data, size);
        *joined += size;
    }
    return at;
}

static const struct reply *answer(const char *head, const char *body, size_t size) {
    if (!strncmp(head, "GET /health", 11)) return &health;
    if (strncmp(head, "POST /v1/chat/completions", 25)) return &not_found;
    if (memmem(body, size, "\"stream\":true", 13) || memmem(body, size, "\"stream\": true", 14)) return &stream;
    return &completion;
}

static void queue(struct connection *connection, const struct reply *reply) {
    if (connection->out_count == connection->out_capacity) {
        connection->out_capacity = connection->out_capacity ? 2 * connection->out_capacity : 4;
        connection->out = grow(connection->out, connection->out_capacity * sizeof *connection->out);
    }
    connection->out[connection->out_count++] = reply;
}

/* Answer the first complete request in `in`; 0 if there is none yet, -1 to hang up. */
static int take_request(struct connection *connection) {
    static char head[MAX_HEAD + 1];
    char *end = memmem(connection->in, connection->in_size, "\r\n\r\n", 4);
    if (!end) return connection->in_size > MAX_HEAD ? -1 : 0;
    size_t head_size = (size_t)(end - connection->in) + 4;
    if (head_size > MAX_HEAD) return -1;
    memcpy(head, connection->in, head_size);
    head[head_size] = 0;
    size_t available = connection->in_size - head_size, body_size = 0, content_size;
    const char *length = header(head, "content-length"), *encoding = header(head, "transfer-encoding");
    if (encoding && !strncasecmp(encoding, "chunked", 7)) {
        body_size = join_chunks(connection->in + head_size, available, &content_size);
        if (!body_size) return 0;
    } else if (length) {
        body_size = strtoul(length, NULL, 10);
        if (available < body_size) return 0;
        content_size = body_size;
    } else {
        content_size = 0;
    }
    queue(connection, strncmp(head, "GET ", 4) && !length && !encoding
                          ? &bad_request
                          : answer(head, connection->in + head_size, content_size));
    connection->in_size -= head_size + body_size;
    memmove(connection->in, connection->in + head_size + body_size, connection->in_size);
    return 1;
}

/* Write what is queued; -1 to hang up. Sets *waiting where the socket's buffer is full. */
static int flush_replies(struct connection *connection, int *waiting) {
    size_t at = 0;
    *waiting = 0;
    while (at < connection->out_count) {
        const struct reply *reply = connection->out[at];
        ssize_t sent = send(connection->fd, reply->data + connection->out_done, reply->size - connection->out_done,
                            MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return -1;
            *waiting = 1;
            break;
        }
        connection->out_done += (size_t)sent;
        if (connection->out_done == reply->size) {
            connection->out_done = 0;
            at++;
        }
    }
    connection->out_count -= at;
    if (at) memmove(connection->out, connection->out + at, connection->out_count * sizeof *connection->out);
    return 0;
}

/* Read all that is there; -1 to hang up. */
static int receive(struct connection *connection) {
    for (;;) {
        if (connection->in_capacity - connection->in_size < 16384) {
            connection->in_capacity = connection->in_capacity ? 2 * connection->in_capacity : 32768;
            connection->in = grow(connection->in, connection->in_capacity);
        }
        size_t room = connection->in_capacity - connection->in_size;
        ssize_t received = recv(connection->fd, connection->in + connection->in_size, room, 0);
        if (received == 0) return -1;
        if (received < 0) return errno == EAGAIN ? 0 : -1;
        connection->in_size += (size_t)received;
        if ((size_t)received < room) return 0;
    }
}

static void hang_up(struct connection *connection) {
    close(connection->fd);
    free(connection->in);
    free(connection->out);
    free(connection);
}

static void serve(int poll, struct connection *connection) {
    int waiting = 0, taken;
    if (receive(connection) < 0) return hang_up(connection);
    while ((taken = take_request(connection)) > 0) {}
    if (taken < 0 || flush_replies(connection, &waiting) < 0) return hang_up(connection);
    struct epoll_event event = {.events = EPOLLIN | (waiting ? EPOLLOUT : 0u), .data.ptr = connection};
    epoll_ctl(poll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void welcome(int poll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) fail("calloc");
        connection->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    render_replies();
    int listener = listen_on(count > 1 ? atoi(arguments[1]) : 0), poll = epoll_create1(0);
    static int stdin_mark, listener_mark;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener_mark}, events[MAX_EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &stdin_mark;
    epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            char byte;
            if (events[i].data.ptr == &listener_mark) welcome(poll, listener);
            else if (events[i].data.ptr != &stdin_mark) serve(poll, events[i].data.ptr);
            else if (read(STDIN_FILENO, &byte, 1) <= 0) return 0;
        }
    }
}
