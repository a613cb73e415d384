# One small guest and one Linux guest, from start to end: what every change is tried with.
#: memory 1100
guest small small 8 "reads=200 transactions=20"
guest linux linux 128 ""
said_hello small
said_hello linux
answers small p1
answers linux p2
guest hostile small 8 "badring"
guest crashes small 8 "exit=3"
xl shutdown small
ended small 60
answers linux p3
