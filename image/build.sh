#!/usr/bin/env bash
# Build the image with docker, podman or buildah, whichever is there and works.
#   image/build.sh [--variant cpu|cuda|train] [--tag NAME:TAG] [--tool docker|podman|buildah] [further options of the tool]
# BASE_IMAGE: another base (make base-image makes one without a registry).
# pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT) and the machine's CA bundle reach the build, but not the image.
set -euo pipefail
cd "$(dirname "$0")/.."

variant=cpu tag='' tool=''
while (($#)); do
  case $1 in
    --variant) variant=${2:?--variant needs cpu, cuda or train}; shift 2 ;;
    --tag) tag=${2:?--tag needs a name}; shift 2 ;;
    --tool) tool=${2:?--tool needs docker, podman or buildah}; shift 2 ;;
    -h | --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
    *) break ;;
  esac
done
[[ -f image/requirements-$variant.txt ]] || { echo "no such variant: $variant (cpu, cuda or train)" >&2; exit 2; }
target=serve
[[ $variant != train ]] || target=train
[[ $target == train ]] || compgen -G 'model_store/*.mar' >/dev/null || { echo "model_store holds no archive: run 'make archive' first" >&2; exit 2; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
tag=${tag:-localhost/dermserve:$version-$variant}

usable() { # a docker client without its daemon builds nothing
  case $1 in
    docker) docker info >/dev/null 2>&1 ;;
    *) type -P "$1" >/dev/null ;;
  esac
}
if [[ -z $tool ]]; then
  for candidate in docker podman buildah; do
    if usable "$candidate"; then tool=$candidate; break; fi
  done
fi
[[ -n $tool ]] || { echo "needs docker (with its daemon running), podman or buildah: apt-get install buildah" >&2; exit 2; }

arguments=(--build-arg "VARIANT=$variant" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --target "$target" --tag "$tag")
[[ -z ${BASE_IMAGE:-} ]] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
case $tool in
  # Without BuildKit there are no secrets; where its client is missing, docker says so.
  docker) command=(env DOCKER_BUILDKIT=1 docker build) ;;
  podman) command=(podman build --format docker --network host) ;;
  buildah) command=(buildah bud --format docker --isolation chroot --network host) ;;
  *) echo "unknown tool: $tool" >&2; exit 2 ;;
esac
configuration=$(mktemp)
trap 'rm -f "$configuration"' EXIT
arguments+=(--secret "id=pip,src=$configuration")
certificates=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
{
  echo '[global]'
  if [[ -f $certificates ]]; then
    arguments+=(--secret "id=ca,src=$certificates")
    echo 'cert = /run/build/ca.crt'
  fi
  [[ -z ${PIP_INDEX_URL:-} ]] || echo "index-url = $PIP_INDEX_URL"
  [[ -z ${PIP_FIND_LINKS:-} ]] || echo 'find-links ='
  count=0
  for place in ${PIP_FIND_LINKS:-}; do
    if [[ -d $place && $tool == docker ]]; then
      echo "docker cannot mount $place: its wheels are fetched from the index (podman and buildah mount it)" >&2
      continue
    elif [[ -d $place ]]; then
      arguments+=(--volume "$(realpath "$place"):/run/build/wheels$count:ro")
      place=/run/build/wheels$count
      count=$((count + 1))
    fi
    printf '    %s\n' "$place"
  done
} >"$configuration"

echo "building $tag with $tool"
"${command[@]}" "${arguments[@]}" "$@" .
echo "built $tag"
