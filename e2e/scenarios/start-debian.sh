# The host is started by Debian's script, which finds the daemon in /etc/default/xen.
#: memory 1100
#: with distribution
#: starts-itself
# Dash is Debian's sh. The other one here has its own start-stop-daemon.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
cat >/etc/default/xen <<C
XENSTORED=${DAEMON%% *}
XENCONSOLED_ARGS="--log=guest --log-dir=/var/log/xen/console"
C
dash /etc/init.d/xen start
check "/etc/init.d/xen start" $? 0
check "the store answers" "$(xenstore-read /local/domain/0/domid)" 0
check "the pid file is right" "$(cat /run/xenstore.pid)" "$(daemon_pid)"
check "it is spared when memory is short" "$(cat "/proc/$(daemon_pid)/oom_score_adj")" -1000
check "it has no terminal" "$(awk '{ print $7 }' "/proc/$(daemon_pid)/stat")" 0
# The script knows only the daemons of its own package, and tries to start any other again.
pid=$(daemon_pid)
dash /etc/init.d/xen start
check "a second start changes nothing" "$(pidof "$(basename "${DAEMON%% *}")")" "$pid"
count_before
guest first small 8 ""
said_hello first
answers first p1
