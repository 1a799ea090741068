#!/usr/bin/env bash
# Make the base image from Debian packages alone, for sites without an image registry. Needs root, debootstrap and buildah.
#   image/base.sh [--tag NAME:TAG] [--mirror URL]
# The default name is the one that the Dockerfile asks for, so that image/build.sh finds it without further words.
set -euo pipefail

tag=localhost/python:3.11-slim-bookworm
mirror=''
while (($#)); do
  case $1 in
    --tag) tag=${2:?--tag needs a name}; shift 2 ;;
    --mirror) mirror=${2:?--mirror needs a URL}; shift 2 ;;
    *) sed -n '2,4s/^# //p' "$0"; exit 2 ;;
  esac
done
for tool in debootstrap buildah; do
  type -P "$tool" >/dev/null || PATH=$PATH:/usr/sbin type -P "$tool" >/dev/null ||
    { echo "$tool is missing: apt-get install debootstrap buildah" >&2; exit 2; }
done
export PATH=$PATH:/usr/sbin
((EUID == 0)) || { echo "debootstrap needs root" >&2; exit 2; }
if [[ -z $mirror ]]; then
  # shellcheck disable=SC2016 # $(SITE) is apt's own field: the mirror that this machine's apt uses, if it runs Debian 12
  mirror=$(apt-get indextargets 'Created-By: Packages' 'Codename: bookworm' 'Component: main' 'Label: Debian' --format '$(SITE)' 2>/dev/null | head -1)
fi
mirror=${mirror:-https://deb.debian.org/debian}

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
echo "unpacking Debian 12 with Python 3.11 from $mirror"
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt \
  "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/cache/debconf/*-old
# The official image has `python`, no second system Python, and a pip that may write: so has this one.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
for name in python python3; do ln -sf /usr/bin/python3 "$root/usr/local/bin/$name"; done
for name in pip pip3; do ln -sf /usr/bin/pip3 "$root/usr/local/bin/$name"; done

container=$(buildah from scratch)
buildah add -q "$container" "$root" / >/dev/null
buildah config --cmd python3 --env LANG=C.UTF-8 \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --label org.opencontainers.image.title="Debian 12 with Python 3.11" "$container"
buildah commit -q --format docker "$container" "$tag" >/dev/null
buildah rm "$container" >/dev/null
rm -f "$root.log"
echo "built $tag"
