#!/bin/sh
# Unpacks packages of Debian into a directory, without installing them: fetch-debian.sh DIRECTORY SUITE PACKAGE...
#
# What judges need is in components, and of releases, that few machines have: so apt is given sources and lists of its
# own, kept beside the directory for all packages of a suite. Nothing of the machine changes.
set -eu
target=$1 suite=$2
shift 2
apt=$(dirname "$target")/apt-$suite
mkdir -p "$apt"
exec 9>"$apt.lock"
flock 9

# The mirror from which this machine takes its own release.
# shellcheck source=/dev/null
. /etc/os-release
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v own="$VERSION_CODENAME main" '$1 " " $2 == own { print $3; exit }')
[ -n "$mirror" ] || { echo "apt knows no Debian mirror; add one to its sources" >&2; exit 1; }

mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
cat > "$apt/sources/debian.sources" <<EOF
Types: deb
URIs: $mirror
Suites: $suite
Components: main contrib non-free
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
private_apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" \
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root \
        -o Acquire::Languages=none "$@"
}
rm -rf "$target.part"
mkdir -p "$target.part/packages"
cd "$target.part/packages"
# Lists of an earlier time may name packages that have been replaced since.
private_apt download "$@" 2>/dev/null || { private_apt update && private_apt download "$@"; }
for package in *.deb; do
    dpkg-deb -x "$package" ../tree
done
cd /
rm -rf "$target"
mv "$target.part" "$target"
