# Thirty small guests, made by as many `xl create` at the same time.
#: memory 1600
#: logged
#: alone
names=$(seq 30 | sed 's/^/m/')
for name in $names; do configure $name small 8 ""; done
begin=$(uptime_now)
for name in $names; do
    (xl create /tmp/$name.cfg >/tmp/$name.xl 2>&1; echo $? >/tmp/$name.status) &
done
for name in $names; do
    wait_for "xl create $name ended" 600 test -s /tmp/$name.status
    check "$name was made" "$(cat /tmp/$name.status)" 0
    [ "$(cat /tmp/$name.status)" = 0 ] || cat /tmp/$name.xl
done
figure "seconds for 30 at once" "$(awk "BEGIN { print $(uptime_now) - $begin }")"
for name in $names; do said_hello $name; done
for name in $names; do answers $name p-$name; done
figure "transactions refused with EAGAIN" "$(refusals)"
