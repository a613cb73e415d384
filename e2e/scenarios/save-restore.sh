# A Linux guest is saved to a file and comes back as another domain, on another ring; a second
# one is saved and goes on as what it was.
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
check "it is another domain" "$([ "$(xl domid traveller)" != "$id" ] && echo yes)" yes
answers traveller after
xl save -c traveller /tmp/traveller.image >/tmp/save 2>&1
check "xl save -c: it goes on" $? 0
answers traveller later
console traveller 4
