# Reference numbers for tests/pure/roc.rs from pROC 1.18.0 (R 4.2.2; Debian 12: r-base-core, r-cran-proc).
#
#     python tests/oracles/make_roc.py      # writes scores.csv
#     Rscript tests/oracles/make_roc.R
#
# Writes tests/oracles/roc/proc.csv: a name and a number a line. Made data only.

suppressMessages(library(pROC))
folder <- "tests/oracles/roc"
data <- read.csv(file.path(folder, "scores.csv"))
curve <- function(score, rows = TRUE)
  roc(data$positive[rows], data[[score]][rows], levels = c(0, 1), direction = "<", quiet = TRUE)

lines <- "name,value"
say <- function(name, value) lines <<- c(lines, sprintf("%s,%.17g", name, value))
scores <- c("a", "b", "c")
for (score in scores) {
  one <- curve(score)
  say(paste("auc", score), as.numeric(auc(one)))
  say(paste("var", score), var(one))
  for (level in c(0.95, 0.8)) {
    ci <- ci.auc(one, conf.level = level, method = "delong")
    say(paste("lower", score, level), ci[1])
    say(paste("upper", score, level), ci[3])
  }
  for (focus in c("specificity", "sensitivity")) for (range in list(c(1, 0.9), c(0.85, 0.6), c(0.5, 0), c(0.98, 0.97)))
    for (correct in c(FALSE, TRUE))
      say(paste("partial", score, focus, range[1], range[2], correct),
          suppressWarnings(as.numeric(auc(one, partial.auc = range, partial.auc.focus = focus,
                                          partial.auc.correct = correct))))
}
for (pair in list(c("a", "b"), c("a", "c"), c("b", "c"))) {
  one <- curve(pair[1]); other <- curve(pair[2])
  name <- paste(pair, collapse = " ")
  say(paste("cov", name), cov(one, other))
  for (alternative in c("two.sided", "greater", "less")) {
    test <- roc.test(one, other, paired = TRUE, method = "delong", alternative = alternative)
    say(paste("Z", name, alternative), test$statistic)
    say(paste("paired p", name, alternative), test$p.value)
    # The second curve is of the first 100 rows, so that the sides differ in their rows.
    part <- curve(pair[2], 1:100)
    test <- roc.test(one, part, paired = FALSE, method = "delong", alternative = alternative)
    say(paste("D", name, alternative), test$statistic)
    say(paste("df", name, alternative), test$parameter)
    say(paste("unpaired p", name, alternative), test$p.value)
  }
  test <- roc.test(one, other, paired = TRUE, method = "delong", conf.level = 0.9)
  if (!is.null(test$conf.int)) {
    say(paste("paired lower", name), test$conf.int[1])
    say(paste("paired upper", name), test$conf.int[2])
  }
}
writeLines(lines, file.path(folder, "proc.csv"))
