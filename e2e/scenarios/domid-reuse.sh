# Numbers of domains come back at once: a new guest gets the number of the one destroyed just
# before it, ten times, and is let in nowhere that its predecessor was.
#: memory 1100
lent_to() { xenstore-ls -p /tool | sed -n 's/^lent .*(\(.*\))$/\1/p'; }
export LIBXL_DOMID_REUSE_TIMEOUT=0 XL_DOMID=77
for round in 1 2 3 4 5 6 7 8 9 10; do
    configure r$round small 8 ""
    LD_PRELOAD=/given/choose_domid.so xl create /tmp/r$round.cfg >/tmp/r$round.xl 2>&1
    check "xl create r$round" $? 0
    check "r$round has the number" "$(xl domid r$round)" 77
    said_hello r$round
    check "r$round finds nothing of another" "$(presence /local/domain/77/data/mine)" gone
    answers r$round p$round
    xenstore-write /local/domain/77/data/mine r$round
    # Toolstacks remove what a domain had of its own, and know nothing of this.
    xenstore-write /tool/lent r$round
    xenstore-chmod /tool/lent n0 r77
    check "r$round is lent something" "$(lent_to)" n0,r77
    xl destroy r$round
    check "xl destroy r$round" $? 0
    check "nobody else is" "$(lent_to)" n0
done
unset XL_DOMID
