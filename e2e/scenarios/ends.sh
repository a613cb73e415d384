# The ways a guest ends: it crashes and is kept, it crashes and is destroyed, it switches
# itself off, it is asked to, it reboots by itself, it is asked to reboot.
#: memory 1100
xenstore-watch @releaseDomain @introduceDomain >/tmp/lives 2>&1 &
lives=$!
guest kept small 8 "exit=3"
id=$(xl domid kept)
wait_for "the crash is seen" 30 sh -c "xl list kept | grep -q -- '---sc-\|--psc-\|c-'"
check "a crashed guest's nodes remain" "$(xenstore-read /local/domain/$id/name)" kept
wait_for "the crash is told" 10 grep -q releaseDomain /tmp/lives
xl destroy kept
gone "$id"

guest crashes small 8 "exit=3" 'on_crash = "destroy"'
ended crashes 30
guest leaves small 8 "exit=0"
ended leaves 30

guest asked small 8 ""
said_hello asked
xl shutdown asked
ended asked 30

# Rebooted, it is another domain, which leaves the first one's number.
guest returns small 8 ""
said_hello returns
id=$(xl domid returns)
xl reboot returns
wait_for "it is back as another domain" 60 sh -c "xl domid returns && [ \$(xl domid returns) != $id ]"
gone "$id"
said_hello returns
answers returns back

# The kernel of a Linux guest has its own way through the store.
guest linux linux 128 ""
said_hello linux
xl shutdown linux
ended linux 90
kill $lives
figure "@introduceDomain and @releaseDomain heard" \
    "$(grep -c @introduce /tmp/lives) and $(grep -c @release /tmp/lives)"
