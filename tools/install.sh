#!/bin/sh
# install.sh PACKAGE...
# Installs the Debian packages that are missing, and says so; silent and quick
# when none is. On other systems it only trusts that the tools are there.
set -eu

command -v apt-get >/dev/null || exit 0

missing=
for package in "$@"; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
    installed) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
  root=sudo
  if ! command -v sudo >/dev/null; then
    echo "missing:$missing. Install them as root: apt-get install$missing" >&2
    exit 1
  fi
fi

echo "missing:$missing. Installing with: $root apt-get install"
# A broken list of some other archive must not stop us: install decides.
$root apt-get update -qq || true
$root env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends $missing </dev/null
