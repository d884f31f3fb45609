#!/bin/sh
# The container's first process. As in memcached's official image, arguments that begin with an option
# are those of the server. It listens on all addresses unless an address or a Unix socket is given.
set -e
case "$1" in
"" | -*) set -- miocached "$@" ;;
esac
case "$1" in
miocached | memcached)
    listens=
    for argument; do
        case "$argument" in
        -l* | --listen* | -s* | --unix-socket* | --stdio) listens=yes ;;
        esac
    done
    if [ -z "$listens" ]; then
        set -- "$@" -l 0.0.0.0
    fi
    ;;
esac
exec "$@"
