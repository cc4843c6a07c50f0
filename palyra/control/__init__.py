"""What a console may see and do: snapshots, queries, commands; in process or over the operators' socket."""
