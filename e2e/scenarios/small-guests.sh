# Ten small guests, with many requests and transactions at once.
#: memory 1100
guests="a b c d e f g h i j"
for name in $guests; do guest $name small 8 "reads=300 transactions=50"; done
for name in $guests; do said_hello $name; done
for name in $guests; do
    wait_for "$name did its transactions" 120 xenstore-read "$(home $name)/data/again"
done
for name in $guests; do
    for node in a b c; do
        check "$name's $node is of the last transaction" \
            "$(xenstore-read "$(home $name)/data/$node")" 49
    done
done
again=0
for name in $guests; do again=$((again + $(xenstore-read "$(home $name)/data/again"))); done
figure "transactions of small guests tried again, of 500" $again
for name in $guests; do answers $name p-$name; done
xl list
