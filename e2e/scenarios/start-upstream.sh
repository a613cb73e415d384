# The host is started as Xen's own scripts do: launch-xenstore, which finds the daemon in
# /etc/default/xencommons, then xen-init-dom0 and xenconsoled.
#: memory 1100
#: with distribution
#: starts-itself
echo "XENSTORED=${DAEMON%% *}" >/etc/default/xencommons
bash /etc/xen/scripts/launch-xenstore
check "launch-xenstore" $? 0
pid=$(cat /run/xen/xenstored.pid)
check "the pid file is right" "$pid" "$(daemon_pid)"
check "it is spared when memory is short" "$(cat /proc/$pid/oom_score_adj)" -500
check "it may open as many files as the kernel lets it" \
    "$(awk '/open files/ { print $4 }' /proc/$pid/limits)" "$(cat /proc/sys/fs/nr_open)"
bash /etc/xen/scripts/launch-xenstore
check "a second start changes nothing" "$(cat /run/xen/xenstored.pid)" "$pid"
start_host
guest first small 8 ""
said_hello first
answers first p1
