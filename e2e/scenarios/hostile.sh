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
wait_for "the flood was stopped" 120 grep -q 'nodes, then' /var/log/xen/console/guest-flood.log
answers good beside
figure "nodes a guest could make" "$(xenstore-read "$(home flood)/data/flood0")"
for name in badlen badring; do
    figure "error told in the ring of $name" \
        "$(sed -n 's/.*error of the ring: //p' /var/log/xen/console/guest-$name.log | tr '\n' ' ')"
done
for name in flood badlen badring noread half ringing reads; do
    id=$(xl domid $name)
    xl destroy $name
    check "$name is destroyed" $? 0
    gone "$id"
done
answers good after
