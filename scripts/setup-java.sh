#!/usr/bin/env bash
# Fetches the jars that the pom.xml of a folder names, held against its
# jars.sha256, and compiles the folder's Client.java with them, unless that was
# done already. Prints the class path.
# usage: setup-java.sh NAME FOLDER
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(cd "$2" && pwd)
home=$root/.tmp/java/$1
made=$home/inputs # written last: its presence says that all went well
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

if ! cat "$folder/pom.xml" "$folder/jars.sha256" "$folder/Client.java" | cmp -s - "$made"; then
	"$root/scripts/setup-apt.sh" javac:default-jdk-headless mvn:maven >&2
	rm -rf "$home"
	mkdir -p "$home/jars" "$home/classes"
	mvn -q -B -f "$folder/pom.xml" "$plugin:copy-dependencies" -DoutputDirectory="$home/jars" >&2
	(cd "$home/jars" && sha256sum --quiet --strict -c "$folder/jars.sha256") >&2
	if [ "$(find "$home/jars" -name '*.jar' | wc -l)" -ne "$(wc -l <"$folder/jars.sha256")" ]; then
		echo "there are other jars than $folder/jars.sha256 names" >&2
		exit 1
	fi
	javac -nowarn -cp "$home/jars/*" -d "$home/classes" "$folder/Client.java" >&2
	cat "$folder/pom.xml" "$folder/jars.sha256" "$folder/Client.java" >"$made"
fi
echo "$home/classes:$home/jars/*"
