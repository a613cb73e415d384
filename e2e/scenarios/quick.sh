# A small guest and a Linux guest, from start to end, beside a hostile one and one that
# crashes: what every change is tried with.
#: memory 1100
guest small small 8 "reads=200 transactions=20"
guest linux linux 128 ""
said_hello small
said_hello linux
answers small p1
answers linux p2
guest hostile small 8 "badring"
guest crashes small 8 "exit=3"
said_hello hostile
said_hello crashes
wait_for "the crash is seen" 30 sh -c "xl list crashes | grep -q 'c-'"
answers small p3
id=$(xl domid small)
xl shutdown small
ended small "$id" 60
answers linux p4
