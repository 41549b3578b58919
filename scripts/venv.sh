# Sourced by run-example and run-tests: makes .venv beside the caller, with dlc and the extras in $1 installed in it.
# Uses any Python from 3.11 on; installs again only when pyproject.toml has changed or an extra is missing.

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        # a version manager's stand-in may exist and not run, so ask each one
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "dlc needs Python 3.11 or newer, and none was found on PATH" >&2
    return 1
}

prepare_venv() {
    local extras=$1 python stamp wanted
    stamp=.venv/installed$extras
    wanted=$(cksum pyproject.toml)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    python=$(find_python)
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    echo "setting up .venv (once)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras"
    .venv/bin/python -m compileall -q dlc  # where PYTHONDONTWRITEBYTECODE is set, every process would do it anew
    printf '%s\n' "$wanted" >"$stamp"
}
