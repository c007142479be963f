# Metrics of what no program of the rack tells by itself, written anew by each round: checks.sh WEIGHTS KEYS CERTIFICATE OUT STATE SECONDS.
# WEIGHTS has a directory for each model. Each round hashes one file of each, so that the store is not read at once.
weights=$1 keys=$2 certificate=$3 out=$4 state=$5 seconds=$6

# The model's state holds a file for each thing that is wrong, until it is found to be right.
weigh() {
  model=$1 wrong=$state/$1 manifest=$weights/$1/MANIFEST.sha256
  mkdir -p "$wrong"
  [ -s "$wrong.first" ] || sha256sum <"$manifest" >"$wrong.first"
  if sha256sum <"$manifest" | cmp -s - "$wrong.first"; then rm -f "$wrong/manifest"; else touch "$wrong/manifest"; fi
  line=$((round % $(wc -l <"$manifest") + 1))
  if sed -n "${line}p" "$manifest" | (cd "$weights/$model" && sha256sum -c -s); then
    rm -f "$wrong/$line"
  else
    touch "$wrong/$line"
    echo "$model: $(sed -n "${line}s/^[0-9a-f]*  //p" "$manifest") is not what the manifest says" >&2
  fi
  good=1
  [ -z "$(ls "$wrong")" ] || good=0
  echo "rackstart_weights_good{model=\"$model\"} $good"
}

# HASH CLIENT|EXPIRES|...: when each client's last key ends; a client with one that never ends has none.
expiries() {
  awk -F '[ |]' '$3 == 0 { never[$2] = 1 } $3 > last[$2] { last[$2] = $3 }
    END { for (one in last) if (!never[one]) print "rackstart_key_expiry_timestamp_seconds{client=\"" one "\"} " last[one] }' "$keys"
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

round=0
while :; do
  {
    for folder in "$weights"/*/; do
      [ ! -e "$folder" ] || weigh "$(basename "$folder")"
    done
    [ ! -e "$keys" ] || expiries
    [ ! -e "$certificate" ] || ending
    echo "rackstart_checked_timestamp_seconds $(date +%s)"
  } >"$out/metrics.new"
  mv "$out/metrics.new" "$out/metrics.txt"
  round=$((round + 1))
  sleep "$seconds"
done
