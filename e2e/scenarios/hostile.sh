# Hostile guests beside a good one: too many nodes, a wrong length, a wrong ring, answers
# never taken, half a message, an event channel that never rests.
#: memory 1100
guest good small 8 ""
said_hello good
answers good before
guest flood small 8 "flood=3000"
guest badlen small 8 "badlen"
guest badring small 8 "badring"
guest noread small 8 "noread"
guest half small 8 "half"
guest ringing small 8 "ringing"
guest reads small 8 "reads=2000"
wait_for "a neighbour's 2,000 reads are done" 120 xenstore-read "$(home reads)/data/reads"
for name in flood badlen badring noread half ringing reads; do said_hello $name; done
wait_for "the flood ended" 120 grep -q 'nodes, then' /var/log/xen/console/guest-flood.log
made=$(xenstore-read "$(home flood)/data/flood0")
check "the flood was stopped" "$([ "$made" -gt 10 ] && [ "$made" -lt 3000 ] && echo yes)" yes
answers good beside
figure "nodes a guest could make" "$made"
told() { sed -n 's/.*error of the ring: //p' /var/log/xen/console/guest-$1.log; }
for name in badlen badring; do figure "error told in the ring of $name" "$(told $name)"; done
if [ $KIND = rxenstored ]; then
    # Numbers of docs/misc/xenstore-ring.txt: a protocol violation, and bad indices.
    check "a wrong length is told of" "$(told badlen)" 3
    check "wrong indices are told of" "$(told badring)" 2
fi
for name in flood badlen badring noread half ringing reads; do
    id=$(xl domid $name)
    xl destroy $name
    check "$name is destroyed" $? 0
    gone "$id"
done
answers good after
