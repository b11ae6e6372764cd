//! Joins that sort both sides and spill, in a query of a single part too, where DataFusion plans joins that hold a whole
//! side in memory.

use std::sync::Arc;

use arrow_schema::SortOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};

/// Ours first, then DataFusion's, which add the sorts that ours asks for.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let ours: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(SortedJoins);
    [ours].into_iter().chain(PhysicalOptimizer::new().rules).collect()
}

/// Puts a join of sorted sides where a plan has one that hashes a side.
#[derive(Debug)]
struct SortedJoins;

impl PhysicalOptimizerRule for SortedJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<HashJoinExec>() {
            // Those that look for a null on the other side need it whole.
            Some(join) if !join.null_aware && !join.contains_projection() => {
                let sorted = SortMergeJoinExec::try_new(
                    Arc::clone(join.left()),
                    Arc::clone(join.right()),
                    join.on().to_vec(),
                    join.filter().cloned(),
                    *join.join_type(),
                    vec![SortOptions::default(); join.on().len()],
                    join.null_equality(),
                )?;
                Ok(Transformed::yes(Arc::new(sorted)))
            }
            _ => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "sorted_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::data::query::{Resources, session};

    #[tokio::test]
    async fn joins_of_one_part_sort_too() {
        let session = session(&Resources { threads: Some(1), ..Resources::default() }).unwrap();
        for kind in ["JOIN", "LEFT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"] {
            let sql = format!("SELECT count(*) FROM (VALUES (1), (2)) a(x) {kind} (VALUES (2), (3)) b(y) ON a.x = b.y");
            let plan = session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let plan = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
            assert!(plan.contains("SortMergeJoin") && !plan.contains("HashJoin"), "{kind}: {plan}");
        }
    }
}
