# One Linux guest, then three more at once: each comes up, finds its way, is denied what is
# not its own, hears a watch, and is destroyed.
#: memory 1400
guest first linux 128 ""
said_hello first
answers first p1
for name in second third fourth; do guest $name linux 128 ""; done
for name in second third fourth; do said_hello $name; done
for name in first second third fourth; do answers $name p-$name; done
for name in first second; do
    console $name
    check "$name was denied domain 0's secret" \
        "$(grep -c 'may not read: .*couldn.t read' /var/log/xen/console/guest-$name.log)" 1
done
