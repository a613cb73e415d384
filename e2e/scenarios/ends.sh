# The ways a guest ends: it crashes and is kept, it crashes and is destroyed, it switches
# itself off, it is asked to, it is asked to reboot; a small guest, and a Linux one.
#: memory 1100
xenstore-watch @releaseDomain @introduceDomain >/tmp/lives 2>&1 &
lives=$!
# Both fire once for being watched.
wait_for "both are watched" 10 sh -c '[ $(wc -l </tmp/lives) = 2 ]'

# made NAME COMMAND-LINE [CONFIGURATION]: creates a guest that may end at once; its number is $id
made() {
    configure "$1" small 8 "$2" "$3"
    xl create -p "/tmp/$1.cfg" >"/tmp/$1.xl" 2>&1
    check "xl create -p $1 ($2)" $? 0
    id=$(xl domid "$1")
    xl unpause "$1"
}

made kept "exit=3"
wait_for "the crash is seen" 30 sh -c "xl list kept | grep -q 'c-'"
wait_for "the crash is told" 10 sh -c '[ $(grep -c @release /tmp/lives) = 2 ]'
check "a crashed guest's nodes remain" "$(xenstore-read "/local/domain/$id/name")" kept
xl destroy kept
check "it is destroyed" $? 0
gone "$id"
wait_for "its end is told" 10 sh -c '[ $(grep -c @release /tmp/lives) = 3 ]'

made crashes "exit=3" 'on_crash = "destroy"'
ended crashes "$id" 30
made leaves "exit=0"
ended leaves "$id" 30

guest asked small 8 ""
said_hello asked
id=$(xl domid asked)
xl shutdown asked
ended asked "$id" 30

# Rebooted, it is another domain, which leaves the first one's number.
guest returns small 8 ""
said_hello returns
id=$(xl domid returns)
answers returns here
xl reboot returns
wait_for "it is back as another domain" 60 \
    sh -c "xl domid returns && [ \$(xl domid returns) != $id ]"
ended "its predecessor" "$id" 10
said_hello returns 2
answers returns back

# The kernel of a Linux guest has its own way through the store.
guest linux linux 128 ""
said_hello linux
id=$(xl domid linux)
xl shutdown linux
ended linux "$id" 90

# Seven domains came. Six of them shut down and went; both are told.
wait_for "each beginning is told" 10 sh -c '[ $(grep -c @introduce /tmp/lives) = 8 ]'
wait_for "each end is told" 10 sh -c '[ $(grep -c @release /tmp/lives) = 13 ]'
kill $lives
