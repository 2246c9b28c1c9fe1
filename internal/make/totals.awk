# Reads go test -v. A package that passes becomes one line; of one that fails everything is shown.
# Ends with what was skipped and why, and the totals; exits 1 where anything failed.

function settle(line) { # a package has ended: its last line is line
    packages++
    if (line ~ /^FAIL/) {
        bad++
        printf "%s", held
    }
    if (line !~ /\[no test files\]/) print line
    held = ""
    fflush()
}

/^ok  \t/ || /^\?   \t/ || /^FAIL\t/ { settle($0); next }
/^\t.*coverage:/ { packages++; next } # a package without tests, with -cover
/^(FAIL|PASS)$/ { next }

{ held = held $0 "\n" }

# Which test the following lines belong to, and the last thing it logged: the reason of a skip (the
# log of a txtar script comes after it).
/^=== (RUN|NAME|CONT) / { test = $3 }
/^ +[^ ]+\.go:[0-9]+: / && $1 !~ /^testscript\.go:/ { said[test] = $0; sub(/^ *[^ ]+:[0-9]+: /, "", said[test]) }

/^ *--- PASS: / { passed++ }
/^ *--- FAIL: / { failed++ }
/^ *--- SKIP: / { skipped++; skips = skips sprintf("  %s: %s\n", $3, said[$3]) }

END {
    printf "%s", held
    if (skips != "") printf "skipped:\n%s", skips
    printf "%d tests passed, %d failed, %d skipped, in %d packages\n", passed, failed, skipped, packages
    if (failed || bad || !packages) exit 1
}
