#!/bin/sh
# Make the secrets that compose.yaml asks for, once; what is there already stays. Keys of providers are put beside them
# by hand: printf %s "$OPENAI_API_KEY" > secrets/OPENAI_API_KEY
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -s "secrets/$1" ] || printf %s "$2" > "secrets/$1"; }
keep POSTGRES_PASSWORD "$(random)"
keep REDIS_PASSWORD "$(random)"
keep MASTER_KEY "sk-$(random)"
keep DATABASE_URL "postgresql://polyport:$(cat secrets/POSTGRES_PASSWORD)@postgres:5432/polyport"
keep REDIS_URL "redis://:$(cat secrets/REDIS_PASSWORD)@redis:6379/0"
# Compose mounts the files as they are, and the containers are other users: the folder is what keeps them private.
chmod 644 secrets/*
chmod 700 secrets
