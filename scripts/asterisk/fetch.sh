#!/bin/sh
# Unpacks Asterisk 22 and sipp, with every library they need, into a private folder: .asterisk, or the first
# argument. Nothing of the machine's own packages changes and no root is needed: Debian's packages are downloaded by
# the machine's apt, checked against Debian's keyring and unpacked (docs/decisions/0016-asterisk-for-tests.md).
#
#   DEBIAN_MIRROR  where to download from; by default the Debian mirror that this machine's apt is set up with
#   SUITE          forky, the first of Debian's releases with Asterisk 22
#   FORCE=1        fetch again although there is one
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-.asterisk}
suite=${SUITE:-forky}
mirror=${DEBIAN_MIRROR:-}

# What asterisk with the modules that we load, and sipp, are linked against. It spares us the 135 packages that
# Debian's asterisk wants installed beside them. When one of them is renamed, apt is asked for all (see download).
packages="asterisk asterisk-modules sip-tester
    libbsd0 libc6 libcap2 libcrypt1 libedit2 libgcc-s1 libgsm1 libjansson4 libmd0 libnspr4 libnss3 libsqlite3-0
    libsrtp2-1 libssl3t64 libstdc++6 libsystemd0 libtinfo6 liburiparser1 libuuid1 libxml2-16 libxslt1.1 libzstd1
    zlib1g libdbus-1-3 libgsl28 libgslcblas0 libncursesw6 libpcap0.8t64
    libpugixml1v5 libsctp1"

say() { printf '%s\n' "$*" >&2; }
give_up() {
    say "Asterisk cannot be fetched: $*"
    exit 1
}

need() {
    for command in apt-get dpkg-deb flock; do
        command -v "$command" >/dev/null 2>&1 || give_up "there is no $command here (Debian and Ubuntu have it)."
    done
    keyring=
    for file in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        [ ! -r "$file" ] || keyring=$file
    done
    [ -n "$keyring" ] || give_up "Debian's keyring is not here. Install the package debian-archive-keyring."
    [ -n "$mirror" ] || mirror=$(mirror_of_this_machine)
    [ -n "$mirror" ] || give_up "this machine's apt knows no Debian mirror. Name one: DEBIAN_MIRROR=https://… $0"
}

# apt reads its own sources best, in both formats and with or without lists: these are the addresses of its releases.
mirror_of_this_machine() {
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null || true)
    grep -qx 'ID=debian' /etc/os-release 2>/dev/null || codename=
    apt-get --print-uris update 2>/dev/null | while read -r uri _; do
        uri=${uri#\'}
        for release in $codename bookworm trixie forky sid stable testing unstable; do
            case $uri in */dists/"$release"/InRelease\')
                printf '%s\n' "${uri%%/dists/*}"
                return ;;
            esac
        done
    done | head -n 1
}

# An apt of its own: other sources, other state, and a machine on which nothing is installed.
set_up_apt() {
    mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial" "$new/apt/sources"
    : > "$new/apt/status"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" "$keyring" \
        > "$new/apt/sources/debian.sources"
    cat > "$new/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$new/apt/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$new/apt";
Dir::State::lists "$new/apt/lists";
Dir::State::status "$new/apt/status";
Dir::State::extended_states "$new/apt/extended_states";
Dir::Cache "$new/apt/cache";
Dir::Log "$new/apt";
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Update::Post-Invoke-Success "";
APT::Get::List-Cleanup "false";
Acquire::Retries "3";
CONF
    export APT_CONFIG="$new/apt/apt.conf"
}

download() {
    apt-get -qq -o APT::Update::Error-Mode=any update >> "$new/log" 2>&1 || return 1
    # shellcheck disable=SC2086
    (cd "$new/apt/cache/archives" && apt-get -qq download $packages >> "$new/log" 2>&1) && unpack && return 0
    say "The packages that are known by name do not do any more; asking apt for everything that they depend on …"
    rm -rf "$new/root"
    apt-get -qq -y --download-only install asterisk asterisk-modules sip-tester >> "$new/log" 2>&1 && unpack
}

unpack() {
    mkdir -p "$new/root" "$new/bin"
    for package in "$new"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$new/root" || return 1
    done
    (cd "$new/apt/cache/archives" && ls ./*.deb | sed 's|^\./||') > "$new/packages.txt"
    link asterisk usr/sbin && link sipp usr/bin
    "$new/bin/asterisk" -V > "$new/version" 2>> "$new/log" && "$new/bin/sipp" -v >> "$new/log" 2>&1 || [ $? -eq 99 ]
}

# Both run by the loader and the libraries that came with them, not by those of the machine.
link() {
    for loader in "$new"/root/usr/lib/*-linux-gnu*/ld-linux-*.so.*; do
        libraries=$(basename "$(dirname "$loader")")
        cat > "$new/bin/$1" <<RUN
#!/bin/sh
here=\${0%/*}
libraries=\$here/../root/usr/lib/$libraries
exec "\$libraries/$(basename "$loader")" --library-path "\$libraries" "\$here/../root/$2/$1" "\$@"
RUN
    done
    chmod 755 "$new/bin/$1"
}

whole() { "$folder/tree/bin/asterisk" -V 2>/dev/null; }

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9> "$folder/lock"
flock 9
if [ -z "${FORCE:-}" ] && whole; then
    exit 0
fi
need
rm -rf "$folder"/new.*
new=$folder/new.$$
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
say "Fetching Asterisk and sipp of Debian $suite into $folder …"
set_up_apt
download || { tail -n 20 "$new/log" >&2; give_up "see above."; }
unset APT_CONFIG
rm -rf "$new/apt" "$new/root/usr/share/doc" "$new/root/usr/share/man" "$new/root/usr/share/locale" \
    "$new/root/usr/share/lintian" "$new/root/usr/lib/systemd"
rm -rf "$folder/old"
[ ! -e "$folder/tree" ] || mv "$folder/tree" "$folder/old"
mv "$new" "$folder/tree"
rm -rf "$folder/old"
whole
