#!/bin/bash
# Makes the database on the first start, then becomes the server. The data
# folder is filled under another name and renamed when complete: a first start
# that is interrupted begins anew, and never leaves half a database.
set -euo pipefail

volume=/var/lib/postgresql/data
export PGDATA=$volume/main

if [ "$(id -u)" = 0 ]; then
	install -d -o postgres -g postgres -m 700 "$volume"
	install -d -o postgres -g postgres -m 775 /run/postgresql
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

password() {
	if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then cat "$POSTGRES_PASSWORD_FILE"; else printf %s "${POSTGRES_PASSWORD:-}"; fi
}

first_start() {
	local user=${POSTGRES_USER:-postgres} new=$volume/new
	local database=${POSTGRES_DB:-$user} file
	if [ -z "$(password)" ]; then
		echo "set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
		exit 1
	fi
	rm -rf "$new"
	initdb --pgdata="$new" --username="$user" --pwfile=<(password) --encoding=UTF8 \
		--auth-local=trust --auth-host=scram-sha-256
	echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"

	# No TCP yet: nobody takes this for the ready server.
	pg_ctl --pgdata="$new" --wait --options="-c listen_addresses=''" start
	if [ "$database" != postgres ]; then createdb --username="$user" "$database"; fi
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sql) psql --username="$user" --dbname="$database" --set=ON_ERROR_STOP=1 --no-psqlrc --file="$file" ;;
		*.sh) POSTGRES_USER=$user POSTGRES_DB=$database bash -euo pipefail "$file" ;;
		esac
	done
	pg_ctl --pgdata="$new" --wait --mode=fast stop
	mv "$new" "$PGDATA"
}

if [ "${1:-}" = postgres ]; then
	[ -d "$PGDATA" ] || first_start
	shift
	exec postgres -c listen_addresses='*' "$@"
fi
exec "$@"
