# A guest starts another kernel in its place, and `xl` makes its nodes and its device model
# anew for that: its ring is let go of and taken up again, with the same number.
#: memory 1400
#: processor qemu64,+rdrand,+svm,+npt
#: with second-kernel device-model
# The plain archive first: who unpacks a ramdisk that begins packed unpacks its first part only.
(cd /guest && echo second-kernel | cpio -o -H newc 2>/dev/null) >/tmp/two-kernels
cat /guest/guest.cpio.gz >>/tmp/two-kernels
RAMDISK=/tmp/two-kernels
KERNEL=/guest/second-kernel
xenstore-watch @introduceDomain >/tmp/introduced &
watcher=$!
# It fires once for being watched.
wait_for "it is watched" 10 grep -q introduceDomain /tmp/introduced
guest kexec linux 256 "" 'type = "hvm"
vga = "none"
vnc = 0
on_soft_reset = "soft-reset"'
id=$(xl domid kexec)
home=$(home kexec)
model=$(xenstore-read $home/image/device-model-pid)
wait_for "the first kernel came up" 400 xenstore-read $home/data/hello
said_hello kexec
wait_for "the second kernel came up" 400 xenstore-read $home/data/second-kernel
said_hello kexec 2
check "it is the same domain" "$(xl domid kexec)" "$id"
check "it was introduced twice" "$(grep -c introduceDomain /tmp/introduced)" 3
kill $watcher
now=$(xenstore-read $home/image/device-model-pid)
check "its device model is another" \
    "$([ "$model" -gt 0 ] && [ "$now" -gt 0 ] && [ "$now" != "$model" ] && echo yes)" yes
answers kexec after
console kexec
