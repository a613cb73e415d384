# A guest without a paravirtual memory, whose ring is one of the pages Xen gave it.
#: memory 1100
#: processor qemu64,+rdrand,+svm,+npt
guest pvh linux 160 "" 'type = "pvh"'
said_hello pvh
answers pvh p1
console pvh
