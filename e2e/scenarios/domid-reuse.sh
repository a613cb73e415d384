# Numbers of domains come back at once: a new guest gets the number of the one destroyed just
# before it, ten times, and finds nothing of its predecessor.
#: memory 1100
export LIBXL_DOMID_REUSE_TIMEOUT=0 XL_DOMID=77
for round in 1 2 3 4 5 6 7 8 9 10; do
    configure r$round small 8 ""
    LD_PRELOAD=/given/choose_domid.so xl create /tmp/r$round.cfg >/tmp/r$round.xl 2>&1
    check "xl create r$round" $? 0
    check "r$round has the number" "$(xl domid r$round)" 77
    check "r$round finds nothing of another" \
        "$(xenstore-exists /local/domain/77/data/mine && echo there || echo clean)" clean
    said_hello r$round
    answers r$round p$round
    xenstore-write /local/domain/77/data/mine r$round
    [ $round = 10 ] || xl destroy r$round
done
unset XL_DOMID
