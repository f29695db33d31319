#!/bin/sh
# Makes ./configure in a git checkout. The release tarball has it already.
set -e
cd "$(dirname "$0")"
exec autoreconf -fi "$@"
