"""What people and Palyra did, found without reading past each request's decision, as a migration of its own."""

DEEDS = """
CREATE INDEX audit_deeds ON audit (seq) WHERE kind <> 'decision';
"""
