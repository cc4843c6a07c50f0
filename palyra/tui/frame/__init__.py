"""What every screen has around its body: status line, title, flash line, footer."""
