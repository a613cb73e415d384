# A disk and a network card: the two ends find each other through the store, Debian's scripts
# for them do their part, and data goes both ways.
#: memory 1400
#: with distribution
for module in loop llc stp bridge xen-blkback xen-netback; do
    [ ! -e /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
done
mknod /dev/loop-control c 10 237 2>/dev/null
dd if=/dev/zero of=/tmp/disk bs=1M count=4 2>/dev/null
printf 'put by domain 0.' | dd of=/tmp/disk conv=notrunc 2>/dev/null
brctl addbr xenbr0
ifconfig xenbr0 10.0.0.1 up

guest user linux 128 "disk net" "disk = ['/tmp/disk,raw,xvda,w']
vif = ['bridge=xenbr0,mac=00:16:3e:00:00:01']"
said_hello user
home=$(home user)
id=$(xl domid user)
backend=/local/domain/0/backend
wait_for "the disk is connected" 30 is 4 xenstore-read $backend/vbd/$id/51712/state
wait_for "the network card is connected" 30 is 4 xenstore-read $backend/vif/$id/0/state
wait_for "the guest used its disk" 60 xenstore-read $home/data/disk-done
check "the guest read its disk" "$(xenstore-read $home/data/disk)" "put by domain 0."
wait_for "the guest used its network" 90 xenstore-read $home/data/net
check "three pings came back" "$(xenstore-read $home/data/net)" 3

# A second disk comes and goes while the guest runs.
dd if=/dev/zero of=/tmp/second bs=1M count=1 2>/dev/null
xl block-attach user /tmp/second,raw,xvdb,w
check "xl block-attach" $? 0
wait_for "the second disk is connected" 60 is 4 xenstore-read $backend/vbd/$id/51728/state
xl block-detach user xvdb
check "xl block-detach" $? 0
wait_for "nothing is left of the second disk" 30 is gone presence $backend/vbd/$id/51728
xl network-detach user 0
check "xl network-detach" $? 0

xl destroy user
check "user is destroyed" $? 0
check "the disk has what the guest wrote" \
    "$(dd if=/tmp/disk bs=512 skip=1 count=1 2>/dev/null | head -c 16)" "written by guest"
gone "$id"
check "no backend is left" "$(presence $backend)" gone
