"""The only room that speaks SQL: schema, group-commit writer, readers, roll-ups, audit chain, engine lock."""
