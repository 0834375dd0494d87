#!/bin/sh
# Fetches Slurm's NVML plugin into the directory $1, without installing it.
#
# Debian keeps it in the component contrib, which few machines have: so the machine's own sources are read
# with that component in place of theirs, and apt keeps its lists in $1. Nothing of the machine changes.
set -eu
target=$1
rm -rf "$target.part"
mkdir -p "$target.part/sources" "$target.part/lists/partial" "$target.part/cache/archives/partial"
cd "$target.part"

for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -nE 's/^(deb +(\[[^]]*\] +)?[^ ]+ +[^ ]+) .*\bmain\b.*/\1 contrib/p' "$file" >> sources/contrib.list
done
for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    sed -E 's/^Components:.*/Components: contrib/' "$file" > "sources/$(basename "$file")"
done

private_apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$PWD/sources" \
        -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root "$@"
}
# Other repositories have no contrib and make this fail; what counts is whether the package is found.
private_apt update || true
private_apt download slurm-wlm-nvml-plugin
dpkg-deb -x slurm-wlm-nvml-plugin_*.deb tree
find tree -name gpu_nvml.so | grep -q .
cd /
rm -rf "$target"
mv "$target.part" "$target"
