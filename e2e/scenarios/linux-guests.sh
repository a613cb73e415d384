# One Linux guest, then three more at once: each comes up, finds its way, is denied what is
# not its own, hears watches, and is destroyed.
#: memory 1400
guest first linux 128 ""
said_hello first
answers first p1
for name in second third fourth; do guest $name linux 128 ""; done
for name in second third fourth; do said_hello $name; done
for name in first second third fourth; do answers $name p-$name; done
for name in first second third fourth; do answers $name again-$name; done
