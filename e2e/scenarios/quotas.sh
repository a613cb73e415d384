# A limit is changed by xenstore-control while the host runs, and holds for guests.
#: memory 1100
guest before small 8 ""
said_hello before
if xenstore-control quota >/tmp/quota 2>&1 && grep -q nodes /tmp/quota; then
    cat /tmp/quota
    id=$(xl domid before)
    xenstore-control quota "$id"
    check "the guest is charged for its nodes" \
        "$([ "$(xenstore-control quota "$id" | sed -n 's/^nodes *: *\([0-9]*\).*/\1/p')" -gt 3 ] && echo yes)" yes
    xenstore-control quota set nodes 60
    check "xenstore-control quota set" $? 0
    guest flood small 8 "flood=3000"
    wait_for "the flood was stopped" 120 \
        grep -q 'nodes, then' /var/log/xen/console/guest-flood.log
    made=$(xenstore-read "$(home flood)/data/flood0")
    figure "nodes a guest could make of 60" "$made"
    check "the limit holds" "$([ "$made" -lt 60 ] && [ "$made" -gt 10 ] && echo yes)" yes
    answers before p1
else
    [ $KIND != rxenstored ] || bad "limits cannot be set"
    figure "nodes a guest could make of 60" "limits cannot be set"
fi
