# A guest starts another kernel in its place: its ring is let go of and taken up again, with
# the same number and the same nodes.
#: memory 1400
#: processor qemu64,+rdrand,+svm,+npt
#: with second-kernel
# The plain archive first: xl unpacks a ramdisk that begins packed, but only its first part.
(cd /guest && echo second-kernel | cpio -o -H newc 2>/dev/null) >/tmp/two-kernels
cat /guest/guest.cpio.gz >>/tmp/two-kernels
RAMDISK=/tmp/two-kernels
guest kexec linux 256 "" 'type = "pvh"
on_soft_reset = "soft-reset"'
said_hello kexec
id=$(xl domid kexec)
wait_for "the second kernel said hello" 180 xenstore-read /local/domain/$id/data/second-kernel
check "it is the same domain" "$(xl domid kexec)" "$id"
answers kexec after
console kexec
