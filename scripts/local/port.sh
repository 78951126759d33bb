# Sourced before environment.sh by what listens on --port: a port in use is said before a minute of setting up.
PORT=54321
PREVIOUS=""
for ARGUMENT in "$@"; do
  case "$PREVIOUS $ARGUMENT" in
    "--port "*) PORT="$ARGUMENT" ;;
    *" --port="*) PORT="${ARGUMENT#--port=}" ;;
    *" --help" | *" -h") PORT="" ;;
  esac
  PREVIOUS="$ARGUMENT"
done
if [[ "$PORT" =~ ^[0-9]+$ ]] && (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
  echo "Port $PORT can't be used: something listens there. Stop it, or choose another, such as --port $((PORT + 10))." >&2
  exit 1
fi
