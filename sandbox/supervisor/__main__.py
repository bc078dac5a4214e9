"""Start the supervisor: `python <this folder>`; settings and requests come over stdin."""

from recode_supervisor.main import main

main()
