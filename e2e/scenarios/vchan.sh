# libvchan between domain 0 and a guest: its two ends meet through nodes that the server lets
# the client read.
#: memory 1400
guest caller linux 128 "vchan"
said_hello caller
home=$(home caller)
id=$(xl domid caller)
wait_for "the guest's end waits" 60 is started xenstore-read $home/data/vchan-client
mkfifo /tmp/to-guest
vchan-socket-proxy --verbose --mode=server $id $home/data/vchan - </tmp/to-guest >/tmp/from-guest 2>/tmp/server &
server=$!
exec 9>/tmp/to-guest
wait_for "the server's end is in the store" 20 xenstore-exists $home/data/vchan/event-channel
sleep 2
echo "hello through vchan" >&9
wait_for "the guest answers" 60 grep -q "HELLO THROUGH VCHAN" /tmp/from-guest
check "the guest may read where" "$(xenstore-ls -p $home/data/vchan | grep -c "(n0,r$id)")" 2
kill $server
exec 9>&-
