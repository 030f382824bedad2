#!/bin/sh
# Each file in /run/secrets is an environment variable of its name, where none is set: config.yaml then asks for
# os.environ/NAME, whether a secret is given as a variable or as a file. Its value is in no argument and no log.
set -eu
for file in "${SECRETS_DIR:-/run/secrets}"/*; do
    name=${file##*/}
    case $name in
        *[!A-Za-z0-9_]* | [0-9]*) continue ;;
    esac
    [ -f "$file" ] || continue
    if [ ! -r "$file" ]; then
        echo "polyport: uid $(id -u) may not read the secret $file" >&2
        exit 1
    fi
    eval "given=\${$name+given}"
    [ -z "$given" ] || continue
    value=$(cat "$file")
    export "$name=$value"
done
unset file name given value
exec "$@"
