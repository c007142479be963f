# Metrics of what no program of the rack tells by itself: checks.sh KEYS CERTIFICATE OUT STATE SECONDS PAUSE WEIGHTS...
# WEIGHTS are the models' directories, on a file system whose calls may never end: only children of this shell touch it, two for each
# model, and they leave in STATE when they last succeeded. What has ended is said every PAUSE seconds, whatever hangs.
keys=$1 certificate=$2 out=$3 state=$4 seconds=$5 pause=$6
shift 6

# To a file that is never seen half written.
put() { cat >"$1.new" && mv "$1.new" "$1"; }

# A copy of the manifest again and again. Its attributes are asked of the server, since a client believes old ones for a minute at most.
look() {
  while :; do
    if put "$mine/manifest" <"$1/MANIFEST.sha256"; then date +%s | put "$mine/looked"; fi
    sleep "$pause"
  done
}

# Whether the file in a line of the list is what that says. `wrong` holds a file for each thing that is, until it is found right.
right() {
  found=0
  if sed -n "${2}p" "$mine/list" | (cd "$1" && sha256sum -c -s); then
    rm -f "$mine/wrong/$2"
  else
    found=1
    touch "$mine/wrong/$2"
    echo "$model: $(sed -n "${2}s/^[0-9a-f]*  //p" "$mine/list") is not what the manifest says" >&2
  fi
  date +%s | put "$mine/weighed"
  return $found
}

# Each round hashes one file, so that the store is not read at once; and what was wrong, since it may be mended, up to one that is not.
weigh() {
  round=0
  until [ -e "$mine/looked" ]; do sleep "$pause"; done
  [ -e "$mine/first" ] || cp "$mine/manifest" "$mine/first"
  while :; do
    cp "$mine/manifest" "$mine/list" # the one that was looked at may be replaced meanwhile
    if cmp -s "$mine/list" "$mine/first"; then rm -f "$mine/wrong/manifest"; else touch "$mine/wrong/manifest"; fi
    lines=$(wc -l <"$mine/list")
    line=$((round % (lines > 0 ? lines : 1) + 1))
    right "$1" "$line"
    for one in $(ls "$mine/wrong"); do
      case $one in manifest | "$line") continue ;; esac
      # One may be of a longer manifest that is no more.
      if [ "$one" -gt "$lines" ]; then rm "$mine/wrong/$one"; else right "$1" "$one" || break; fi
    done
    round=$((round + 1))
    sleep "$seconds"
  done
}

# What is known of a model. Of one that was never weighed, when that was begun.
known() {
  [ ! -e "$mine/looked" ] || echo "rackstart_weights_looked_timestamp_seconds{model=\"$model\"} $(cat "$mine/looked")"
  if [ -e "$mine/weighed" ]; then
    good=1
    [ -z "$(ls "$mine/wrong")" ] || good=0
    echo "rackstart_weights_good{model=\"$model\"} $good"
  fi
  echo "rackstart_weights_weighed_timestamp_seconds{model=\"$model\"} $(cat "$mine/weighed" "$mine/began" 2>/dev/null | head -1)"
}

# HASH CLIENT|EXPIRES|RATE|MODELS|CREATED: when each client's last key ends and was made; a client with one that never ends has none.
expiries() {
  awk -F '[ |]' '$3 == 0 { never[$2] = 1 } $3 > last[$2] { last[$2] = $3; made[$2] = $6 + 0 }
    function say(name, one, value) { print "rackstart_key_" name "_timestamp_seconds{client=\"" one "\"} " value }
    END { for (one in last) if (!never[one]) { say("expiry", one, last[one]); say("created", one, made[one]) } }' "$keys"
}

# A certificate's begin and end stand one behind the other, as digits behind a tag: 17 with two of the year, or 18 with four.
ending() {
  two='17 0d( 3[0-9]){12} 5a' four='18 0f( 3[0-9]){14} 5a'
  bytes=$(sed '/-----END/q' "$certificate" | grep -v -e ----- | base64 -d | od -An -v -tx1 | tr -d '\n')
  end=$(echo "$bytes" | grep -oE "(($two|$four) ?){2}" | head -1 | sed -E 's/.*(17 0d|18 0f)//; s/ 3(.)/\1/g; s/ 5a.*//')
  [ ${#end} -eq 14 ] || end=20$end
  day=$(echo "$end" | sed -E 's/(....)(..)(..)(..)(..)(..)/\1-\2-\3 \4:\5:\6/')
  echo "rackstart_certificate_expiry_timestamp_seconds $(date -u -d "$day" +%s)"
}

children=
trap 'kill $children; exit' TERM
for folder; do
  model=${folder##*/} mine=$state/${folder##*/}
  mkdir -p "$mine/wrong"
  [ -e "$mine/began" ] || date +%s >"$mine/began"
  look "$folder" &
  children="$children $!"
  weigh "$folder" &
  children="$children $!"
done
while :; do
  {
    for folder; do
      model=${folder##*/} mine=$state/${folder##*/}
      known
    done
    [ ! -e "$keys" ] || expiries
    [ ! -e "$certificate" ] || ending
  } | put "$out/metrics.txt"
  sleep "$pause" &
  wait $! # which a signal ends, and the sleep does not
done
