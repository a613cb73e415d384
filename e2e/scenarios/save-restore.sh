# A Linux guest is saved to a file and comes back as another domain, on another ring; then it
# is saved again, and goes on as what it was.
#: memory 1400
guest traveller linux 96 ""
said_hello traveller
answers traveller before
id=$(xl domid traveller)
xl save traveller /tmp/traveller.image >/tmp/save 2>&1
check "xl save" $? 0
gone "$id"
xl restore /tmp/traveller.image >/tmp/restore 2>&1
check "xl restore" $? 0
check "it is another domain" "$([ "$(xl domid traveller)" -gt "$id" ] && echo yes)" yes
answers traveller after
id=$(xl domid traveller)
xl save -c traveller /tmp/traveller.image >/tmp/save 2>&1
check "xl save -c" $? 0
check "it is the same domain" "$(xl domid traveller)" "$id"
answers traveller later
console traveller 4
