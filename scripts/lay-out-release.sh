#!/usr/bin/env bash
# Puts a release together: the program, and beside it what it looks for there.
#
#   lay-out-release.sh BUILT OUT IMAGES
#
#   BUILT  where cargo has built          OUT  the folder to fill (made if missing)
#   IMAGES the folder of built images; linked and not copied: it is large, and rebuilt on its own
set -euo pipefail
built=$1 out=$2 images=$3

mkdir -p "$out" "$images"
for file in cloister cloister-jail cloister-wasm; do
    # A new file and a rename: a server may be running from the old one.
    install -m 0755 "$built/$file" "$out/.$file.new"
    mv -f "$out/.$file.new" "$out/$file"
done
install -m 0755 "$built/libcloister_jail.so" "$out/.zygote.new"
mv -f "$out/.zygote.new" "$out/libcloister_zygote.so"

rm -rf "$out/policies"
cp -r policies "$out/policies"
ln -sfn "$images" "$out/images"
echo "release: $(cd "$out" && pwd)/cloister"
