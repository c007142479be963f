#!/bin/sh
# Stands in PATH before a program, or in its place. Once that is installed, the first call that fits meets the fault; every other goes to the program.
if [ -x @program@ ] && printf '%s\n' "$*" | grep -qE -- '@arguments@' && mkdir /var/tmp/fault 2>/dev/null; then
    case @fault@ in
    fails) echo 'E: broken on purpose' >&2; exit @code@ ;;
    hangs) exec sleep infinity ;;
    lies) printf '%s' '@output@'; exit 0 ;;
    esac
fi
exec @program@ "$@"
