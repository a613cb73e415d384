# What scenarios are written with. Sourced by /init in domain 0.

uptime_now() { cut -d' ' -f1 /proc/uptime; }
seconds() { cut -d. -f1 /proc/uptime; }
say() { echo "@@ $(uptime_now) $*"; }
ok() { say "ok   $*"; }
failures=0
bad() {
    say "FAIL $*"
    failures=$((failures + 1))
}

# check WHAT FOUND EXPECTED
check() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        bad "$1: expected '$3', found '$2'"
    fi
}

# A number for the report: figure NAME VALUE
figure() { echo "@@FIGURE $1: $2"; }

# wait_for WHAT SECONDS COMMAND...: until the command succeeds
wait_for() {
    local what=$1 until=$(($(seconds) + $2))
    shift 2
    while ! "$@" >/dev/null 2>&1; do
        if [ "$(seconds)" -ge $until ]; then
            bad "$what: not within the time"
            return 1
        fi
        sleep 0.2
    done
    ok "$what"
}

# is VALUE COMMAND...: whether that is what the command prints
is() {
    local value=$1
    shift
    [ "$("$@")" = "$value" ]
}

# presence PATH: there, gone, or unknown. Not to be able to look is no absence, and what has no
# name, because it could not be found out, is not gone.
presence() {
    local names
    [ -n "${1##*/}" ] || { echo unknown; return; }
    names=$(timeout 10 xenstore-list "${1%/*}") || { echo unknown; return; }
    if echo "$names" | grep -qx "${1##*/}"; then echo there; else echo gone; fi
}

finish() {
    if [ -n "$RECORDED" ]; then
        echo "@@LOG"
        gzip -9 <$REQUESTS | base64
        echo "@@LOG END"
    fi
    if [ -n "$TRACED" ]; then
        cut -c 1-200 /tmp/daemon.strace
    fi
    if [ $failures = 0 ]; then
        echo "@@RESULT PASS $(uptime_now)"
    else
        tail -n 12 /var/log/xen/xl-*.log /var/log/xen/console/guest-*.log 2>/dev/null
        echo "@@RESULT FAIL $failures"
    fi
    sync
    poweroff -f
    sleep 10
}

# The daemon, and what a host starts after it.

REQUESTS=/var/log/xen/xenstored-access.log

# Has the daemon log every request, before it is started.
log_requests() {
    case $KIND in
    xenstored) DAEMON="$DAEMON --trace-file=$REQUESTS" ;;
    *)
        for key in read transactions special; do echo "access-log-$key-ops = true"; done \
            >>/etc/xen/oxenstored.conf
        echo "access-log-nb-lines = 10000000" >>/etc/xen/oxenstored.conf
        echo "access-log-nb-chars = 5000" >>/etc/xen/oxenstored.conf
        ;;
    esac
}

# How many transactions the daemon refused because of others (`#: logged`).
refusals() {
    case $KIND in
    # Since 4.20 its trace has a line when an answer starts to be written
    # and another when it has been: the answer counts once.
    xenstored) grep -v '^io: OUT(END)' $REQUESTS | grep -c 'ERROR.*EAGAIN' ;;
    *) grep -c ' error *EAGAIN' $REQUESTS ;;
    esac
}

start_daemon() {
    say "starts $DAEMON"
    if [ -n "$TRACED" ]; then
        # shellcheck disable=SC2086
        strace -f -tt -s 64 -o /tmp/daemon.strace $DAEMON </dev/null &
    else
        $DAEMON </dev/null &
    fi
    wait_for "the daemon's socket is there" 20 test -S /run/xenstored/socket ||
        { ps; dmesg | tail; finish; }
    wait_for "the store answers" 10 timeout 5 xenstore-ls /
}

start_host() {
    xen-init-dom0 >/dev/null
    check "xen-init-dom0" $? 0
    check "domain 0 is in the store" "$(xenstore-read /local/domain/0/domid)" 0
    xenconsoled --log=guest --log-dir=/var/log/xen/console --pid-file=/run/xenconsoled.pid
    xl info | grep -E '^(xen_version|total_memory|virt_caps)'
    count_before
}

# What must be the same in the end, and a node that guests may not read.
count_before() {
    channels_before=$(lsevtchn 0 | wc -l)
    check "domain 0 has event channels" "$([ "$channels_before" -gt 1 ] && echo yes)" yes
    xenstore-write /tool/secret s3
    check "domain 0 has a secret" "$(xenstore-read /tool/secret)" s3
}

daemon_pid() { pidof rxenstored xenstored oxenstored | cut -d' ' -f1; }

# Nothing may be left of guests: a daemon that keeps a dead guest's ring mapped leaves a
# nameless domain behind.
end_host() {
    xenstore-watch @releaseDomain >/tmp/released 2>&1 &
    local watcher=$! id name
    sleep 0.5
    local guests=$(xl list | tail -n +3 | wc -l)
    for id in $(xl list | awk 'NR > 2 { print $2 }'); do
        name=$(xl domname "$id")
        xl destroy "$id"
        check "$name is destroyed" $? 0
        gone "$id"
    done
    sleep 0.5
    kill $watcher
    if [ "$guests" -gt 0 ] && [ "$(grep -c releaseDomain /tmp/released)" -lt 2 ]; then
        bad "@releaseDomain was not heard"
    fi
    check "guests wrote nothing into domain 0's part" \
        "$(presence /local/domain/0/evil)" gone
    check "no domain is left" "$(xl list | tail -n +2 | wc -l)" 1
    check "no event channel is left" "$(lsevtchn 0 | wc -l)" "$channels_before"
    figure "daemon's memory at the end, KiB" \
        "$(awk '/VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status")"
}

# Guests.

# guest NAME small|linux MEMORY "COMMAND LINE" [LINES OF CONFIGURATION]: creates one. What a
# small one does is up to its command line (minipv/minipv.rs), a Linux one's too (guest/init).
guest() {
    configure "$@"
    xl create "/tmp/$1.cfg" >"/tmp/$1.xl" 2>&1
    local status=$?
    [ $status = 0 ] || cat "/tmp/$1.xl"
    check "xl create $1 ($4)" $status 0
}

configure() {
    local name=$1 kind=$2 memory=$3 line=$4 more=${5:-}
    {
        echo "name = \"$name\""
        case $more in *type*=*) ;; *) echo 'type = "pv"' ;; esac
        case $kind in
        small) echo 'kernel = "/guest/minipv"' ;;
        linux)
            echo "kernel = \"${KERNEL:-/guest/vmlinux}\""
            echo "ramdisk = \"${RAMDISK:-/guest/guest.cpio.gz}\""
            line="console=hvc0 loglevel=3 panic=1 $line"
            ;;
        esac
        echo "extra = \"$line\""
        echo "memory = $memory"
        echo 'vcpus = 1'
        case $more in *on_crash*) ;; *) echo 'on_crash = "preserve"' ;; esac
        echo "$more"
    } >"/tmp/$name.cfg"
}

home() { echo "/local/domain/$(xl domid "$1")"; }

# said_hello GUEST [TIMES]: it came up, found its way in the store, and was denied the rest. What
# it said before it was started anew stays on its console: TIMES (1) counts all of its starts.
said_hello() {
    local id=$(xl domid "$1") times=${2:-1} log=/var/log/xen/console/guest-$1.log
    wait_for "$1 wrote to the store" 180 is "from-$id" \
        xenstore-read "/local/domain/$id/data/hello"
    wait_for "$1 may not read what is domain 0's" 30 is "$times" \
        grep -c "may not read: \(EACCES\|xenstore-read: couldn't read\)" "$log"
    wait_for "$1 may not write what is domain 0's" 30 is "$times" \
        grep -c "may not write: \(EACCES\|xenstore-write: could not write\)" "$log"
}

# answers GUEST TEXT: a watch of the guest fires, and its answer is heard here
answers() {
    local home=$(home "$1")
    xenstore-write "$home/data/ping" "$2"
    wait_for "$1 answers $2" 60 is "$2" xenstore-read "$home/data/pong"
}

# Whether the toolstack knows of a domain no more.
away() {
    local list
    [ -n "$1" ] && list=$(timeout 20 xl list) &&
        ! echo "$list" | awk -v id="$1" '$2 == id' | grep -q .
}

# ended GUEST ID SECONDS: the toolstack has taken the domain away, and all that it had
ended() {
    wait_for "$1 is away" "$3" away "$2"
    gone "$2"
}

# gone ID: nothing of the domain is in the store
gone() {
    check "nothing is left of domain $1 in the store" \
        "$(presence "/local/domain/$1")" gone
}

# console GUEST [LINES]: what it said last
console() { tail -n "${2:-12}" "/var/log/xen/console/guest-$1.log"; }
