"""Models of symbols: texts, codes and all else that is one of K."""
